"""placeholder"""
def more(short, cores): return {}, []
