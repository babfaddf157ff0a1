"""Adapters to the hosts (diffusers, WebUIs, bare UNets). The formulas are elsewhere."""
