package main

// nearest returns the name that was probably meant: the one with the fewest
// changed letters, at most two. It returns "" when none is near.
func nearest(typed string, names []string) string {
	const limit = 2
	best, found := limit+1, ""
	for _, name := range names {
		if d := distance(typed, name); d < best {
			best, found = d, name
		}
	}
	return found
}

// distance counts the letters to insert, to delete, to replace or to swap with
// their neighbour that make a into b.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
