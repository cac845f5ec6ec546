"""The Jinja templates, installed as the package acegen.templates."""
