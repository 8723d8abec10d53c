"""Text as people and programs write it: names, numbers, tables, JSON.

quoting      names as messages quote them
suggestions  names near to an unknown one: every "did you mean"
quantities   numbers as people write and read them: counts, durations, rates, shares
textfiles    text files of other programs: one reader for label lists, tables and TOML
delimited    rows of cells in text: CSV, TSV and what spreadsheets call CSV
strict_json  JSON from a disk or a pipe, read with limits
tables       tables of users: CSV, TSV, JSON, JSON lines or Parquet, as columns of cells
"""
