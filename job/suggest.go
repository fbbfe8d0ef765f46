package job

// maxCandidates bounds the search for a suggestion in very large graphs.
const maxCandidates = 1000

// didYouMean returns a suggestion to append to a message about a name that is not
// among the known ones, and nothing when none of them is near.
func didYouMean(name string, known []string) string {
	if best := nearest(name, known); best != "" {
		return "; did you mean " + quote(best) + "?"
	}
	return ""
}

// nearest returns the known name with the fewest edits from name, and "" when
// even that one looks like another word.
func nearest(name string, known []string) string {
	best, limit := "", min(3, max(1, len(name)/3))
	if len(known) > maxCandidates {
		known = known[:maxCandidates]
	}
	for _, k := range known {
		if d := distance(name, k, limit); d <= limit {
			best, limit = k, d-1
		}
	}
	return best
}

// distance returns the number of letters to insert, delete, replace or swap with
// their neighbour to turn a into b, or limit+1 when it is more than limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		lowest := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			lowest = min(lowest, row[j])
		}
		if lowest > limit {
			return limit + 1
		}
		before, prev, row = prev, row, before
	}
	return prev[len(b)]
}

// otherWord returns our field for a word that other tools use for it. Such words
// are too far from ours to be found by their spelling.
func otherWord(name string) string {
	switch name {
	case "cmd", "run", "script", "args", "exec":
		return "command"
	case "depends_on", "depends", "dependsOn", "dependencies", "after":
		return "needs"
	case "function", "handler", "callback":
		return "func"
	case "labels", "constraints", "selector", "node_selector", "nodeSelector":
		return "requires"
	case "environment", "variables":
		return "env"
	case "workdir", "working_dir", "cwd", "directory":
		return "dir"
	case "replicas", "count", "instances", "parallel":
		return "parallelism"
	case "retries", "attempts":
		return "retry"
	default:
		return ""
	}
}
