// What Portal says it is: clients and other members go by etcd's version numbers.

/** Of the program. */
export const serverVersion = "3.7.3";
/** Of the data format and of a cluster whose members all run this program. */
export const storageVersion = "3.7.0";
