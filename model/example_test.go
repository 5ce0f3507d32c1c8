package model_test

import (
	"bytes"
	"fmt"

	"tutti/model"
)

func Example() {
	layout, err := model.NewLayout(
		model.TensorSpec{Name: "weight", Shape: []int{2, 2}},
		model.TensorSpec{Name: "bias", Shape: []int{2}},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	global := model.NewParams(layout)
	local := global.Clone()
	local.View("bias")[1] = 0.5 // what a device learned

	update, err := model.NewUpdate(local, global)
	fmt.Println(update, update.Len(), err)

	var file bytes.Buffer
	err = model.WriteSafetensors(&file, local, map[string]string{"version": "1"})
	fmt.Println(err)
	back, meta, err := model.ReadSafetensors(&file, 1<<20)
	fmt.Println(back.View("bias"), meta["version"], err)
	// Output:
	// Update(redacted) 6 <nil>
	// <nil>
	// [0 0.5] 1 <nil>
}
