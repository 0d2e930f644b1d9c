"""Other processes of this machine: started, tied to their parent, watched, kept apart, ended."""
