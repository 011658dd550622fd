"""The usual mistakes, one a module; each says in its first lines what it does wrong."""
