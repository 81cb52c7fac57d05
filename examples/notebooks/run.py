"""Executes a notebook and writes it with its outputs, those that differ from run to run left out.

    run.py NOTEBOOK OUT

Files that the notebook makes are made in the directory of OUT.
"""

import os
import sys

import nbclient
import nbformat

notebook, out = sys.argv[1:]
nb = nbformat.read(notebook, as_version=4)
resources = {"metadata": {"path": os.path.dirname(os.path.abspath(out))}}
nbclient.NotebookClient(nb, timeout=900, kernel_name="pixano-go", allow_errors=True, resources=resources).execute()
for cell in nb.cells:
    cell.metadata = {}
    if cell.cell_type != "code":
        continue
    outputs = []
    for output in cell.outputs:
        if output.get("name") == "stderr":
            continue  # what the kernel says of its own work
        if output.output_type == "stream" and outputs and outputs[-1].output_type == "stream":
            outputs[-1].text += output.text  # one text, however it came
        else:
            outputs.append(output)
    cell.outputs = outputs
nbformat.write(nb, out)
