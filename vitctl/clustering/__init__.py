"""k-means whose result no number of threads or processes changes, not in the last bit.

    normalize   rows of features -> centred rows of bounded size, which all else works on
    nearest     which center is nearest to each row: fast in float32 where margins prove the answer
    sums        sums of rows as whole numbers, so that their order cannot matter
    seeding     k-means++, in exact arithmetic
    lloyd       the iterations, their end, and what becomes of a cluster without images
    agreement   how even clusters are, and how they agree with other labels

Lloyd, "Least squares quantization in PCM", 1982; Arthur and Vassilvitskii, "k-means++", 2007; the
spherical variant: Dhillon and Modha, 2001. Rows come in blocks from whoever reads them, and values
of other processes through functions that are passed in: nothing here opens a file.
"""
