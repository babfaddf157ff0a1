"""The small model: its world, judge and training. The extension and the engine never import it."""
