if __name__ != "disac.experiments":
    raise ImportError(f"import this package as disac.experiments, not as {__name__}")
