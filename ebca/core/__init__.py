"""The engine: attention, energies, a UNet's layers, and what is done in them. It knows no host."""
