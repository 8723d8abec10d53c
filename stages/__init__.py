"""The commands of vitctl, one package each; stages meet only through artifacts.

app       the typer app: the table of verbs, and the console script
api       the commands as Python functions
shard     images -> a dataset artifact
merge     parts of a dataset, made by several machines -> the dataset
subset    a dataset -> some of its images, none copied
dedup     a dataset -> the same without images that others have, too
cluster   images -> the same, labelled by the clusters of their features
mix       datasets -> one of all their images, by weight
pretrain  a dataset -> a run of checkpoints
cooldown  a checkpoint of a run -> a finished model
finetune  a pretrained checkpoint -> a model for a dataset's classes
average   checkpoints of one model -> a run of their mean
import_   weights of another codebase -> a run
export    a checkpoint -> files that another library loads
embed     a checkpoint and images -> their features, kept
fewshot   features of labelled images -> few-shot accuracies
evaluate  a checkpoint and a dataset -> top-1, top-5 and loss
sweep     a grid of models, dataset sizes and durations -> a table of trained models
vtab      a checkpoint and datasets -> accuracies after fine-tuning on 1,000 images of each
predict   a checkpoint and image files -> the likeliest classes of each
scaling   tables of runs -> fitted and drawn scaling laws
plan      settings and hardware -> memory, speed and cost
advise    a budget and hardware -> what to train, and what to expect of it
replay    a run and a step -> the batch it trained on
inspect   the commands that only look: ls, show, lineage, verify
report    artifacts -> one page of HTML that needs no network
rm        artifacts, runs, checkpoints and unfinished work -> free disk
bench     a dataset -> how fast its images reach training
doctor    checks of a machine that is to train
"""
