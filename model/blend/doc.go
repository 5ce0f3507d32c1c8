// Package blend is what is served: the Transformer, the private item transitions and the private popularity, joined
// into one recommender that explains itself. Device, server and demo build it from the same public parts, so that all
// of them rank alike.
package blend
