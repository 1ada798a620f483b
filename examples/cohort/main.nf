// varreg bids with Nextflow: one process a person, then the page of all.
//
//   nextflow run main.nf --bids BIDS_DIR --out OUT_DIR --to template.nii.gz -resume
//
// Folders are given by value: varreg writes into OUT_DIR itself, whole or not at all.
params.contrast = 'T2w'

process participant {
    cpus 1
    memory '3 GB'
    time '1h'
    errorStrategy { task.exitStatus in [137, 140, 143] ? 'retry' : 'ignore' }
    maxRetries 2

    input:
    val label

    output:
    val label

    script:
    """
    varreg bids '${file(params.bids)}' '${file(params.out)}' participant --to '${file(params.to)}' \
        --contrast ${params.contrast} --participant-label ${label} --threads ${task.cpus} --quiet
    """
}

process group {
    input:
    val labels

    script:
    """
    varreg bids '${file(params.bids)}' '${file(params.out)}' group --quiet
    """
}

workflow {
    people = channel.fromPath("${params.bids}/sub-*", type: 'dir').map { folder -> folder.name }
    group(participant(people).collect())
}
