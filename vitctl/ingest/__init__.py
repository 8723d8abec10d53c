"""Foreign files -> the records of a dataset: listing, conversion, shards.

columns           names, sizes, times and labels of a source's images, as columns
choices           what a user says of a source: labels, layout, exclusions, columns
sources           what every source is: a listing in columns, and readers of its images
formats           the formats of sources, told apart by contents; the door to all of them
format_names      what `--format` calls them
folder            a folder as a source
tar               tars as sources: of class folders, of tars, WebDataset
tar_members       the members of a tar
zip               zips as sources
zip_members       the members of a zip
parquet           Parquet with images in it, as Hugging Face datasets stores them
arrow             Arrow with images in it, as `save_to_disk` of datasets writes it
arrow_table       columns of images and labels in Arrow's terms, for both
idx               IDX (MNIST and its kin) as a source
cifar             CIFAR's binary files as a source
npz               npz with images and labels as a source
arrays            what these have in common: blocks of pixels
tfrecord          TFRecord files of `tf.train.Example` as a source
array_records     ArrayRecord files of the same
examples          images and labels in `tf.train.Example`, whatever file holds them
tfds_folder       folders that TensorFlow Datasets prepared
json_files        JSON beside the images of other programs' folders
feature_files     features that other programs computed, with their labels
imagenet          ImageNet as its makers give it out: tars, Kaggle's zip
imagenet_files    where these are
imagenet_truth    classes of its validation images and words for all, from its makers' tables
artifact          a dataset artifact as a source
archive_tree      paths of an archive's members -> a tree of files
table             sources that say themselves which class each image has
parts             larger files that hold images
windows           images that lie in larger files as they are, read at random
streams           files read from front to back, decompressed, with bounds
spool             a source that is read in order, made one that is read at random
tree              a tree of files, wherever it lies
tree_reading      the meaning of files by their paths: classes, splits, or a label file's
tree_classes      folders of a tree as classes, or as splits that hold classes
tree_labels       images of a tree whose labels are in a table, or nowhere
folder_layout     the meaning of a source's folders: classes, or splits that hold classes
relabel           exclusions, labels of a table and one spelling a class, of any listing
label_file        labels from tables, for images with several, or in no class folders
label_cells       CSV, TSV or JSON lines as columns of cells
label_columns     which columns of a table hold images, labels and splits
label_paths       which image each cell of a table means
annotations       COCO's, Pascal VOC's and YOLO's annotations of objects as labels of images
replaced_labels   labels from a file in place of those that a dataset has
tables_inside     tables of labels that lie among the images
spelling          one form of Unicode for a name
digits            the built-in source: 1,797 handwritten digits of 8 x 8 pixels
formula           formula images, made and encoded when a worker reads them
litter            files that lie among images without being any
own_output        output of vitctl itself, which is never a source
file_kinds        the kind of a file, from its first bytes
header            size, mode and format of an image, from its header alone
orientation       which way up an image is, wherever its container says so
pnm               PGM and PPM whose brightest value is not 255
convert           whether an image is stored as it is or as 8-bit PNG, and why
decoder_warnings  warnings of the decoders' C libraries, caught and counted by image
png_damage        what is wrong with the bytes of a PNG
pixels            the pixels that training sees of a file, without TensorFlow
prepare           bytes of a file -> bytes to store, checked by the training decoder
shard_plan        which image goes into which shard
share             how many images of each class are held out
shard_writer      the work of one shard, from reading to writing
worker_pool       worker processes that may die
assemble          finished shards -> the description of their dataset
tfds_files        the files with which TensorFlow Datasets reads a dataset artifact
"""
