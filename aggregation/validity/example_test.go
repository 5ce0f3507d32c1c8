package validity_test

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"tutti/aggregation/mask"
	"tutti/aggregation/share"
	"tutti/aggregation/validity"
)

// A device proves that its masked vector is within the norm; five of nine members answer; the server believes it. Challenges are
// hashes of what is fixed by then: here of less than a real round binds.
func Example() {
	ring, err := mask.Choose(mask.Standard, 1000, 100, 1<<15)
	if err != nil {
		panic(err)
	}
	params, _ := mask.NewParams(ring)
	field, _ := share.NewField(ring.Q)
	scheme, _ := share.New(field, 9, 2, 2)
	check, err := validity.New(validity.Literal{Mask: params, Shares: scheme, Norm: 10_000})
	if err != nil {
		panic(err)
	}

	// The device masks a vector of norm 9487 and shares the key.
	public := sha256.Sum256([]byte("the round's A"))
	secret := mask.NewSecret(params, fresh())
	x := make([]int32, 1000)
	for i := range x {
		x[i] = 300
	}
	vector := make([]byte, params.PackedLen())
	if err := params.Mask(vector, public, secret, fresh(), x); err != nil {
		panic(err)
	}
	random := make([]uint64, scheme.Draws(params.N()))
	if err := field.Draw(rand.Reader, random); err != nil {
		panic(err)
	}
	keys, _ := scheme.Split(secret.Coefficients(), random)
	first := sha256.New()
	first.Write(vector)
	for j, words := range keys {
		salt := make([]uint64, check.SaltWords()) // goes to member j+1, with its words
		if err := field.Draw(rand.Reader, salt); err != nil {
			panic(err)
		}
		commitment := check.Commit(salt, j+1, words)
		first.Write(commitment[:])
	}
	challenge1 := [32]byte(first.Sum(nil))
	proof, err := check.Prove(rand.Reader, public, challenge1, secret, vector)
	if err != nil {
		panic(err)
	}
	challenge2 := sha256.Sum256([]byte("all of the envelopes"))

	// The server computes the statement, and members answer it.
	statement, err := check.State(public, challenge1, challenge2, vector)
	if err != nil {
		panic(err)
	}
	var answers []share.Share
	for _, j := range []int{1, 2, 4, 5, 8, 9} {
		words, err := check.Answer(challenge2, j, statement.Alpha(), keys[j-1], proof[j-1])
		if err != nil {
			panic(err)
		}
		answers = append(answers, share.Share{X: j, Words: words})
	}
	fmt.Println(check.Verify(statement, answers[:5], 0))
	answers[2].Words[0] ^= 1
	_, err = check.Verify(statement, answers, 0)
	fmt.Println(err)
	// Output:
	// [] <nil>
	// validity: proof refused: answers lie on no polynomial of degree 4
}

func fresh() (seed [32]byte) {
	rand.Read(seed[:])
	return seed
}
