"""The engine: attention, energies, and what is done in a UNet's layers. It knows no host."""
