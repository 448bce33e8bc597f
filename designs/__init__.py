if __name__ != "disac.designs":
    raise ImportError(f"import this package as disac.designs, not as {__name__}")
