"""Which digit is it?"""
