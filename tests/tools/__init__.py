"""What `./dev` is made of. Runs on a bare Python: the standard library only."""
