"""Features of images, kept: a row of numbers an image, with its classes.

    contract  what probes need of features, whoever computed them
    stored    features as an artifact, in parts
    foreign   features that other programs computed: npz, npy, Parquet

Nothing here computes a feature (`vitctl.inference.features` does) or imports jax.
"""
