// Package campaign is the recipe of a task: which rounds are run, in which order, and what the server makes of each
// opened sum. The popularity of items chooses the block, the transitions within it teach the Transformer its start, and
// model rounds spend what is left of the budget. Everything between two releases is post-processing and costs nothing.
package campaign
