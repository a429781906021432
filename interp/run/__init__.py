"""Running the parts over a run, batch by batch, and what is kept between."""
