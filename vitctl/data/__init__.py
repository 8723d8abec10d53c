"""Images on disk to batches in memory: sources, shards, order, decoding, augmentation.

    config        what happens to an image between its file and the model; no TensorFlow
    image_source  what training, probing and scoring need of a set of images
    dataset       the dataset artifact on disk, and how it is opened
    columns       a value for each image: an array, or arithmetic on positions
    formula_images  formula images, made when they are read
    opening       text of a command -> the images behind it: a dataset, or made-up ones
    mock          synthetic images, numpy only, for `--mock`, tests and benchmarks
    parts         what a dataset that is made of others records of them
    subset        some images of a source, without a copy of any
    relabelled    the images of a source under other labels, without a copy of any
    held_out      a part of the images to train on, as a split to choose settings by
    stored_size   how large the images of a source are, of a few headers
    selection     which images a subset takes
    sequences     sequences of formal languages with hidden symbols, in place of images
    mixture       the images of several sources
    mixed_order   orders that draw some examples more often than others
    local_shards  the images of a dataset on this machine's disk
    views         positions in a set of images, and how each image is seen
    order         which example comes when: arithmetic, not a shuffle buffer
    digest        the rolling digest of the samples that a run has consumed
    example       `tf.train.Example` on the wire, without TensorFlow
    records       ArrayRecord files, read and written strictly
    ranged_records  a few records of shards in a bucket, by ranges of bytes
    decode        the one decoder, for training, evaluation and the check at shard time
    kernels       that decoder by TensorFlow's C interface, for the check alone
    long_images   the centre of an image that is many times longer than wide, resized
    preprocess    encoded image and seed -> float32[h, w, 3] in [-1, 1], in TensorFlow
    numpy_preprocess  what evaluation makes of pixels, the same bits without TensorFlow
    randaugment   RandAugment in TensorFlow, stateless
    tf_pipeline   records -> decoded, augmented batches, on TensorFlow's threads
    tensorflow    TensorFlow without accelerators and without its messages
    pillow_pipeline  records -> images that are scored, without TensorFlow
    decoding      who decodes images: TensorFlow, or Pillow where it makes the same bits sooner
    pipeline      batches of a dataset, for training and for scoring
    batches       what a model is fed: plain numpy arrays
    image_cache   images of a small set, decoded once and kept in memory
    read_clock    time spent on reading records
    costs         measured costs of reading and decoding
    image_cost    what an image costs the machine that feeds it
    classes       classes of two artifacts, matched by name
    class_json    names of classes in JSON of other programs
    name_lists    lists of names, one a line, as programs and people write them
    class_map     classes of a dataset under the names that a model has for them
    names         names of files as text that any program can hold
    sheet         images side by side with captions, as one PNG
    verify        every record of a dataset against the dataset's description

Only `tensorflow`, `tf_pipeline`, `decode`, `preprocess`, `randaugment`, `long_images` and
`image_cache` use TensorFlow; order, examples, records, datasets and mock data do without it.
"""
