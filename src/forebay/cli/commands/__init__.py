"""Commands for whoever runs a server: they start the program itself instead of talking to one."""
