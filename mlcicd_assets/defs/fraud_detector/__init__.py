"""Is a card payment fraud?"""
