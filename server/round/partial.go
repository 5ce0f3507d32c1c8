package round

// Together says how the sum over a set is made of partial sums that hold the uploads held[0], held[1], ...: the places of
// those to add, ascending, and which uploads of the set are in none of them, in its order. A partial sum that holds anything
// else is of no use, since nothing can be taken out of it by anybody but the replica that has the uploads. No upload may be
// in two partial sums, which the store sees to.
func Together(set []ID, held [][]ID) (use []int, missing []ID) {
	wanted := make(map[ID]bool, len(set))
	for _, id := range set {
		wanted[id] = true
	}
	have := make(map[ID]bool, len(set))
	for i, ids := range held {
		fits := len(ids) > 0
		for _, id := range ids {
			fits = fits && wanted[id] && !have[id]
		}
		if !fits {
			continue
		}
		use = append(use, i)
		for _, id := range ids {
			have[id] = true
		}
	}
	for _, id := range set {
		if !have[id] {
			missing = append(missing, id)
		}
	}
	return use, missing
}
