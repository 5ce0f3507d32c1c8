// Package campaign is the recipe of a task: which rounds are run, in which order, and what the server makes of each
// opened sum. The popularity of items chooses the block, the transitions within it teach the Transformer its start, and
// model rounds spend what is left of the budget. Everything between two releases is post-processing and costs nothing.
//
// # Buffered-asynchronous rounds
//
// With Config.Staleness above 0 the model rounds are those of FedBuff (Nguyen et al., Federated Learning with Buffered
// Asynchronous Aggregation, AISTATS 2022, arXiv 2106.06639): rounds open back to back, and each closes when as many masked
// uploads are in as Split.Goal says (the paper's K), whatever version they started from, as long as it is one of those that
// the plan lists. A slow device's work goes into a later round instead of none. It is the same protocol, the same committee
// and the same accounting: every upload is clipped after it was weighted by its staleness (plan.StaleWeight), noised and
// charged for the round that it is sealed for, and a device is in a round once.
package campaign
