"""How safe a connection has to be: what receivers publish, what messages demand, and what is made of both."""
