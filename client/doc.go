// Package client is the SDK that an app embeds: five calls.
//
//	Open        a device: its identity, its history, its last accepted model
//	Record      something that the user did; it stays on the device
//	Recommend   items, offline, with a reason for each
//	Contribute  to the open round, if the device's own policy allows it
//	Privacy     what was spent, what is left, what would leave the device
//
// and three more that a user may ask for: DryRun shows what Contribute would
// send, Forget erases everything, Close ends.
//
// The device trusts nobody with its user's behaviour. It verifies every plan
// against its own policy, every model against its signature and digests, and
// the server's log against what it saw before, and it refuses with a reason
// that an app can show. It charges its own budget, durably, before it seals an
// upload; it seals at most once per round. For a round of the model it trains
// before it takes a place, and keeps what it learned, sealed, until a round takes
// it: work for a round that closed meanwhile goes into a later one whose plan
// allows its base version.
//
// The package reads no file and opens no connection: Store and Transport are
// declared here and implemented by client/store and client/transport.
package client
