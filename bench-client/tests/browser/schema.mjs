// Holds a document against a JSON Schema and prints the reasons why it does not fit, as a list.
//   schema.mjs SCHEMA DOCUMENT
import { readFileSync } from 'node:fs';
import Ajv2020 from 'ajv/dist/2020.js';

const [schema, document] = process.argv.slice(2).map((file) => JSON.parse(readFileSync(file, 'utf8')));
const validate = new Ajv2020.default({ allErrors: true }).compile(schema);
process.stdout.write(JSON.stringify(validate(document) ? [] : validate.errors));
