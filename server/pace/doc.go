// Package pace says when a device comes again (server.md, pace steering): small populations are brought together at the
// moment a round opens, large ones are spread so that the server is asked a bounded number of times a minute, and what went
// wrong is tried again after a time that fits what it was.
//
// The idea is that of Bonawitz et al., Towards Federated Learning at Scale: System Design, SysML 2019, arXiv 1902.01046,
// section 2.3. The package is pure: time and randomness are arguments.
package pace
