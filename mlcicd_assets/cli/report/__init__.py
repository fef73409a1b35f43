"""`mlcicd report`: what a change means, as a comment on its pull request, a page, or JSON."""
