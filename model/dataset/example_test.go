package dataset_test

import (
	"fmt"
	"testing/fstest"

	"tutti/model/dataset"
)

func Example() {
	files := fstest.MapFS{
		"movies.csv":  {Data: []byte("movieId,title,genres\n10,Heat (1995),Crime\n30,\"Piano, The (1993)\",Drama\n70,Babe (1995),Children\n")},
		"ratings.csv": {Data: []byte("userId,movieId,rating,timestamp\n1,70,4.5,300\n1,10,4.0,100\n1,30,3.5,200\n1,999,3.5,400\n")},
	}
	data, report, err := dataset.Load(files, dataset.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(report)
	split := dataset.LeaveOneOut(data)
	for _, c := range split.Test {
		fmt.Println("what follows", c.History, "is", data.Catalogue.Items[c.Target].FullTitle())
	}
	// Output:
	// ml-latest: kept 3 events of 1 users with 3 items, of 4 event rows
	//   dropped 1: event names an item that is not in the catalogue
	//     ratings.csv:5: 1,999,3.5,400
	// what follows [0 1] is Babe (1995)
}

func ExampleGenerate() {
	config := dataset.DefaultGenerator()
	config.Users = 100
	data, err := dataset.Generate(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	shape := dataset.Statistics(data)
	fmt.Println(shape.Users, "people with", shape.MedianLength, "events each in the median")
	// Output: 100 people with 70.5 events each in the median
}
