#!/bin/sh
#SBATCH --job-name=gmcf-precompute
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --requeue
# One part of the work for each task of the array, whose numbers start at 0:
#
#     sbatch --array=0-7 deploy/precompute/slurm.sh STORE [ARGUMENTS of gmcf precompute]
set -eu
store=$1
shift
exec gmcf precompute --store "$store" --part "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" "$@"
