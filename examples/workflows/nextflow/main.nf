// Counts the lines of each file, and adds the counts up. Run as
//   nextflow run main.nf -with-trace trace.txt -plugins nf-prov
process COUNT {
    tag "$sample"
    errorStrategy 'retry'
    maxRetries 1

    input:
    tuple val(sample), path(reads)

    output:
    path "${sample}.count"

    script:
    "wc -l < $reads > ${sample}.count"
}

process TOTAL {
    publishDir 'results'

    input:
    path counts

    output:
    path 'total.txt'

    script:
    "cat $counts | paste -sd+ | bc > total.txt"
}

workflow {
    samples = Channel.fromPath(params.input).map { file -> [file.baseName, file] }
    TOTAL(COUNT(samples).collect())
}
