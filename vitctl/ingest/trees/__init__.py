"""Files by their paths, wherever they lie: folders, tars and zips, and what their folders mean.

folder         a folder as a source
tree           a tree of files, wherever it lies
tree_reading   the meaning of files by their paths: classes, splits, or a label file's
tree_classes   folders of a tree as classes, or as splits that hold classes
tree_labels    images of a tree whose labels are in a table, or nowhere
archive_tree   paths of an archive's members -> a tree of files
archive_walk   files of an archive, and of archives in it
tar            tars as sources: of class folders, of tars, WebDataset
tar_members    the members of a tar
zip            zips as sources
zip_members    the members of a zip
zip_bytes      the bytes of one of them
tables_inside  tables of labels that lie among the images
lists_inside   lists of splits and files of labels that lie among the images
title_files    files that give classes readable names, by what they are called
own_output     output of vitctl itself, which is never a source
"""
