"""Models of other codebases: their files read and written, their tensors matched with ours.
Nothing is imported here.

    safetensors       headers held against the file, tensors read one by one; writing
    npz               big_vision's archives of arrays
    weight_files      which files hold a model's weights; pickles are refused
    hub               what to say of weights named by an address or a repository
    matching          tensors matched by name and shape, both ways
    overrides         what a user says of a model
    torch_names       what torch codebases call each part
    torch_tensors     their tensors, and how each becomes ours and back
    torch_shapes      sizes and grid, by the shapes of those tensors
    torch_config      the model they are of, with what shapes leave open
    layout_names      what `--layout` takes
    layouts           which codebase's names a file has
    big_vision        parameters under big_vision's names, both ways
    big_vision_files  big_vision's and vision_transformer's files, old names too
    described         what the JSON files beside the weights say
    reading           a file of weights -> parameters and their model
    native            our own parameters in a safetensors file
    head_names        what other codebases call our heads, and which lack one
    exported          a model to be written, and what all writers have in common
    timm_files        a model as timm loads it
    transformers_files  a model as Hugging Face's transformers load it
    writing           parameters -> another library's files
    stablehlo         a program that runs without this package
    onnx_files        a graph that onnxruntime runs, and its weights
    fitting           another size of image or patch
"""
