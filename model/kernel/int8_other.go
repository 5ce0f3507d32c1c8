package kernel

var matVecInt8 = matVecInt8Portable
