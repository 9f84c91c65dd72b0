package approver_test

import (
	"fmt"
	"strings"

	"github.com/wardmdm/ward/server/approver"
)

func ExampleSame() {
	ada := approver.Approver{Person: "person-1", Subject: approver.Subject("Staff 0815"), Key: approver.Key{ID: []byte("a"), Public: []byte("a")}}
	second := approver.Approver{Person: "person-2", Subject: approver.Subject("STAFF  0815"), Key: approver.Key{ID: []byte("b"), Public: []byte("b")}}
	fmt.Println(approver.Same(ada, second)) // two accounts and two passkeys, and one human being
	// Output: true
}

func ExampleSignGlass() {
	parts, _, err := approver.NewGlass()
	if err != nil {
		panic(err)
	}
	order := strings.Repeat("0f", 32)
	if _, err := approver.SignGlass(parts[0], parts[0], order); err != nil {
		fmt.Println(err)
	}
	sig, err := approver.SignGlass(parts[0], parts[1], order)
	fmt.Println(len(sig), err)
	// Output:
	// Both are part 1: the other envelope holds part 2.
	// 64 <nil>
}
