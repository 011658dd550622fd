"""HTTP for load: treq's interface on top, connections and framing of our own below."""
