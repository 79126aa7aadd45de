"""How long things live: what starts with the app, what requests share, and what each request makes anew."""
