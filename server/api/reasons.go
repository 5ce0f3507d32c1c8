package api

// Domain of the reasons, in the google.rpc.ErrorInfo of a status. A status without one is not the server's own word, but
// that of a library or of something on the way.
const Domain = "tutti"

// Reasons why a call failed, which a client may tell apart.
const (
	ReasonRate        = "RATE_LIMITED"     // too many requests of this address or device; with RetryInfo
	ReasonBusy        = "BUSY"             // too many requests in all; with RetryInfo
	ReasonFull        = "STORAGE_FULL"     // the server cannot store anything; with RetryInfo
	ReasonStopping    = "STOPPING"         // the server goes down, for a restart perhaps; with RetryInfo
	ReasonDatabase    = "DATABASE_AWAY"    // the server cannot reach its database; with RetryInfo
	ReasonFailed      = "SERVER_FAILED"    // the server's log says why
	ReasonClock       = "CLOCK_SKEW"       // the two clocks are too far apart
	ReasonTask        = "WRONG_TASK"       // the server runs another task
	ReasonToken       = "TOKEN_UNKNOWN"    // of an enrolment
	ReasonTokenUsed   = "TOKEN_USED"       // by another device
	ReasonEnrolment   = "NOT_ENROLLED"     // the signature or the enrolment does not hold
	ReasonAttestation = "NOT_ATTESTED"     // the server's attestor refused
	ReasonCertificate = "NO_CERTIFICATE"   // a client certificate is wanted
	ReasonMalformed   = "MALFORMED"        // a field is too long, or has no meaning
	ReasonMissing     = "NO_SUCH_THING"    // a blob, a round
	ReasonChecksum    = "CHUNK_DAMAGED"    // one chunk: send it again
	ReasonOffset      = "WRONG_OFFSET"     // the server is elsewhere in the vector: ask it, and go on from there
	ReasonSuperseded  = "ANOTHER_SENDER"   // another stream or call sends this upload now
	ReasonSlow        = "TOO_SLOW"         // nothing arrived for too long
	ReasonUnknown     = "UPLOAD_NOT_BEGUN" // a digest alone names no upload here: send the header
)
