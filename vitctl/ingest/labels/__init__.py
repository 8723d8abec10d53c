"""Labels that are not those of folders: tables, annotations, and images relabelled by them.

label_file       labels from tables, for images with several, or in no class folders
label_tables     several tables as one
label_cells      CSV, TSV or JSON lines as columns of cells
label_columns    which columns of a table hold images, labels and splits
label_paths      which image each cell of a table means
gathered         rows of a table by the image that each means: repeated, contradicting, complete
annotations      COCO's, Pascal VOC's and YOLO's annotations of objects as labels of images
image_lists      lists of images that makers of datasets ship: of splits, with or without labels
mat_lists        MATLAB's files of labels as lists of images
listed           lists of images -> labels and splits: which belong together
listed_classes   what the classes of such lists are called
named_lists      lists of images that `--labels` names
replaced_labels  labels from a file in place of those that a dataset has
relabel          exclusions, labels of a table and one spelling a class, of any listing
"""
