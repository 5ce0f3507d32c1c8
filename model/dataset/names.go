package dataset

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// namer invents titles whose SeriesStem is used once.
type namer struct {
	random *rand.Rand
	used   map[string]bool
}

func newNamer(random *rand.Rand) *namer { return &namer{random, map[string]bool{}} }

var (
	adjectives = strings.Fields("Silent Broken Golden Hidden Crimson Distant Burning Frozen Hollow Endless Secret Wild Gentle Bitter Savage Electric Velvet Paper Iron Glass Midnight Lonely Brave Wicked Sacred Forgotten Restless Scarlet Pale Blind Perfect Stolen Rising Fallen Quiet Strange Invisible Crooked Tender Ancient Second Final Lucky Reckless Faithful Borrowed Northern Southern Amber Copper Hungry Drowned Painted Wandering Little Great Dangerous Innocent")
	nouns      = strings.Fields("River Harbor Garden Mirror Shadow Winter Summer Journey Promise Letter Stranger Kingdom Lantern Mountain Orchard Bridge Castle Island Tide Storm Crown Feather Compass Voyage Harvest Carnival Detective Sparrow Tiger Wolf Serpent Piano Train Hotel Station Lighthouse Desert Forest Valley Meadow Window Doctor Captain Widow Gambler Painter Dancer Soldier Thief Neighbor Daughter Brother Heart Dream Memory Fortune Silence Thunder Ember Horizon Machine Engine Signal Circus Diamond Verdict Escape Wedding Reunion Holiday Affair Conspiracy Inheritance Labyrinth Rebellion Paradox")
	names      = strings.Fields("Arlen Beatriz Corwin Delphine Edwin Fiora Gideon Harriet Ivo Juniper Kasimir Leonora Magnus Nadia Orson Petra Quentin Rosalind Silas Tabitha Ulric Viola Wendel Xenia Yorick Zelda Amadou Ingrid Mateo Sunniva Theo Ottilie")
	places     = strings.Fields("Valmere Ashford Brindle Carrow Dunmore Elmsworth Fallbrook Grenville Hexley Ironwood Juneau Kestrel Larkhaven Mirefield Northam Oakhurst Pinecrest Quarry Ravensea Stonegate Thornbury Westmark")
	subtitles  = []string{"The Return", "Reckoning", "The Beginning", "Aftermath", "The Last Stand", "Homecoming", "Revenge", "The Lost Chapter", "Resurrection", "No Way Back"}
	numerals   = []string{"", "", "II", "III", "IV", "V", "VI", "VII"}
)

func (n *namer) of(words []string) string { return words[n.random.IntN(len(words))] }

// name invents the title of a single item or of a series. An article comes
// last, as in MovieLens: "Hidden Garden, The".
func (n *namer) name() string {
	for {
		var title string
		switch n.random.IntN(9) {
		case 0, 1:
			title = n.of(adjectives) + " " + n.of(nouns)
		case 2, 3:
			title = n.of(adjectives) + " " + n.of(nouns) + ", The"
		case 4:
			title = n.of(nouns) + " of the " + n.of(nouns) + ", The"
		case 5:
			title = n.of(names) + "'s " + n.of(nouns)
		case 6:
			title = n.of(nouns) + " in " + n.of(places) + ", A"
		case 7:
			title = n.of(names) + " and the " + n.of(adjectives) + " " + n.of(nouns)
		case 8:
			title = n.of(adjectives) + " " + n.of(places)
		}
		if len(n.used) > 20000 { // the short forms run out in large catalogues
			title = n.of(adjectives) + " " + title
		}
		if len(n.used) > 500000 {
			title = n.of(names) + ": " + title
		}
		if stem := SeriesStem(title); !n.used[stem] {
			n.used[stem] = true
			return title
		}
	}
}

// part names one part of a series: "Iron Tide", "Iron Tide 2", "Iron Tide III:
// Revenge".
func (n *namer) part(series string, part int) string {
	if part == 1 {
		return series
	}
	stem, article, found := strings.Cut(series, ", ")
	number := " " + strconv.Itoa(part)
	if n.random.IntN(3) == 0 && part < len(numerals) {
		number = " " + numerals[part]
	}
	title := stem + number
	if n.random.IntN(3) == 0 {
		title += ": " + n.of(subtitles)
	}
	if found {
		title += ", " + article
	}
	return title
}
