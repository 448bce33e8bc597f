if __name__ != "disac.estimators":
    raise ImportError(f"import this package as disac.estimators, not as {__name__}")
