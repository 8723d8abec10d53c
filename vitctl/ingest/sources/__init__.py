"""Sources by format: one door to all of them, and a lister for each.

formats         the formats of sources, told apart by contents; the door to all of them
file_format     what a format is: how its files look, and what lists them
format_names    what `--format` calls them
parquet         Parquet with images in it, as Hugging Face datasets stores them
arrow           Arrow with images in it, as `save_to_disk` of datasets writes it
arrow_table     columns of images and labels in Arrow's terms, for both
idx             IDX (MNIST and its kin) as a source
cifar           CIFAR's binary files as a source
stl10           STL-10's binary files as a source
mat             MATLAB's files of pixels as a source: SVHN, CIFAR
npz             npz with images and labels as a source
arrays          what these have in common: blocks of pixels
array_files     files of arrays, on the disk or in an archive
array_sets      which files of a folder or an archive are one dataset of arrays
tfrecord        TFRecord files of `tf.train.Example` as a source
array_records   ArrayRecord files of the same
examples        images and labels in `tf.train.Example`, whatever file holds them
tfds_folder     folders that TensorFlow Datasets prepared
json_files      JSON beside the images of other programs' folders
feature_files   features that other programs computed, with their labels
imagenet        ImageNet as its makers give it out: tars, Kaggle's zip
imagenet_files  where these are
imagenet_truth  classes of its validation images and words for all, from its makers' tables
wordnet         readable names of classes that are WordNet ids
artifact        a dataset artifact as a source
digits          the built-in source: 1,797 handwritten digits of 8 x 8 pixels
formula         formula images, made and encoded when a worker reads them
"""
