<<<<<<< HEAD
"""Files that users write: read with places, so that a complaint names its file, line and mend."""
=======
"""Files that users write, read with places: a complaint names its file, its line and what to do."""
>>>>>>> main
