"""The steps that a cluster of Apache Spark takes: split, factorization, lists, figures (docs/how-to/spark.md)."""
