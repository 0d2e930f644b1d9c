"""The tests of Pillarbox, on real parts."""
