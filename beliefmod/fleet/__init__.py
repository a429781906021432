"""The only room that knows Ray: hosts on machines, trials on hosts, the sweep that drives them."""
